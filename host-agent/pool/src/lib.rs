//! The embedded pool: a Stratum V1 server with real share checking, for demos and tests
