"""The demo: three companies that may not show each other their pictures teach one captioner together."""
