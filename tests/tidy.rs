//! Holds up the order of the house.
