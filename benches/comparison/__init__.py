"""The parts of benches/versus: what is compared, on what machine, how, and how it is told."""
