"""The benchmarks: Tongying beside its peers, in one run, in turns. `python -m bench --help`."""
