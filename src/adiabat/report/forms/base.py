"""What every section's form is: fields that are checked, columns of one length."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

Number = float | None
Series = list[Number]


class Form(BaseModel):
    """A section's fields. `aligned` names columns of one length (an empty column may be left out); `along` an axis and the lines
    drawn over it, which may end before it does but not after."""

    model_config = ConfigDict(extra="forbid")
    aligned: ClassVar[tuple[str, ...]] = ()
    along: ClassVar[tuple[str, str] | None] = None

    @model_validator(mode="after")
    def columns_have_one_length(self):
        lengths = {name: len(column) for name in self.aligned if (column := getattr(self, name))}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}; one entry each is wanted")
        if self.along:
            axis, lines = (getattr(self, name) for name in self.along)
            if (longest := max(map(len, lines), default=0)) > len(axis):
                raise ValueError(f"a line of {self.along[1]} has {longest} entries, {self.along[0]} only {len(axis)}")
        return self
