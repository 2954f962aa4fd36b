import names

raise LookupError(" ".join({*names.TREES}))
