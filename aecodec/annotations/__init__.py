"""What a file says about its images: labels, columns, title and the like, and their bytes."""
