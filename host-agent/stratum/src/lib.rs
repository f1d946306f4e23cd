//! Upstream sessions: Stratum V1 as a pure state machine, and a tokio TCP transport
