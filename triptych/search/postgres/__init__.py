"""An index in PostgreSQL with pgvector: for several clients, replicas and, by shards, several machines."""
