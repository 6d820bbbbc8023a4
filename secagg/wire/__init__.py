"""The wire: generated messages (`v1`, never edited) and the strict parser in front of them."""
