//! Small fixed workloads, one for each kind of change: every operation of the disk meets every fault, and a crash.
