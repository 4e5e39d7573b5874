"""Error, PSNR, SSIM and PCA."""
