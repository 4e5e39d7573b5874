"""Errors, PSNR, SSIM and PCA."""
