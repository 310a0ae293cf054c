"""What the tests need of the machine: real tools, a real Secret Service."""
