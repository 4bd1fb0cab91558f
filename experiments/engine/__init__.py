"""What runs the studies: networks, images, scales, jobs, their store and their execution."""
