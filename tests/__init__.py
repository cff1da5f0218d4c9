"""What the tests of this project share."""
