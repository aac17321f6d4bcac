//! Every example, wrong inputs with their exact messages, the three forms of one run, and any input at all.
