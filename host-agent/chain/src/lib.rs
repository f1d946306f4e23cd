//! One chain of chips as a pure state machine: bring-up, work cadence, job slots, verification
