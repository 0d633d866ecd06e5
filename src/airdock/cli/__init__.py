"""The airdock command, one file per noun."""
