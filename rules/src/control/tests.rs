//! Pause, resume and retry, decided on a desk.
