"""What a trial is judged by: score, several objectives, forbidden combinations."""
