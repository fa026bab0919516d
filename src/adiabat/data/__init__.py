"""Data: what is kept of a configuration, how it is read and written, and whether it can be trusted.

structure      Atoms as exact JSON; the content hash
geometry       pairs, closest contacts
formats        read and write files; foreign keys and units named, never guessed in silence
keys, labels   which entry of a foreign file is which label; units, shapes, finiteness
extxyz, xyz    the text format itself: exact numbers, truncation found; its frames as Atoms, and back
store          Dataset: the SQLite store
row, writer    a configuration as a row with its seal; one writer at a time, with words for who waits
connection     a store's file, opened for writing or as it lies
agreement      whether two results of one calculation agree
damage         what is damaged in a store, by row
query          the small language of Dataset.select
statistics     counts, shares and ranges by kind, from the catalogue
packing        a store as packed shards
shards         packed shards: a set as plain arrays, in random order, without loading it
split          train, validation, test without leaks
gate           the data gate: findings before any training
composition    reference energies by least squares or from isolated atoms
"""
