"""The audit trail: journals of processes, the ledger in the database that they end in, its anchor outside, and what is
made of it for others."""
