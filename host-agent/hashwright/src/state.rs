//! The state tree: the only thing that the API, the live view and `status` read. Tasks publish their
//! part; [`Snapshot`] is the whole at one moment.

pub use rpc::state::*;
