"""An analysis by many workers: Ray, on this machine or on a cluster."""
