//! Client commands against a real server.
