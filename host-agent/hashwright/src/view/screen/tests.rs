//! What the live view looks like.
