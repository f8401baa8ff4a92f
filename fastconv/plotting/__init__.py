"""Pictures by matplotlib (extra `[plot]`), which is loaded at the first one."""
