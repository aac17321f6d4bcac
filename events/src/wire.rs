//! Bytes to events, once, at the edge.
