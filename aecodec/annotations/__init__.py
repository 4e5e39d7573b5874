"""What a file says of its images: labels, columns, title, and their bytes."""
