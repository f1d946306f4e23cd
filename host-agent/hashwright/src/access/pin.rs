//! The client's side of TLS. Filled in with the client.
