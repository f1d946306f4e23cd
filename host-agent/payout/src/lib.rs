//! What a job pays, and to whom.
