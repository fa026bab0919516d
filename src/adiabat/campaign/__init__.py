"""Runs that wire the rooms together: one file a kind of run.

| file | what |
|---|---|
| `run_folder` | the folder of a run: its configuration, its events, who may write there |
"""
