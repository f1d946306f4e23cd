//! SHA-256d midstate engine with backends chosen at run time
