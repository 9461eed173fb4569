"""What a target alone has: its files, its fusion rules and its quirks."""
