//! Virtual hash boards that answer on the wire as silicon would
