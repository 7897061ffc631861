"""The findings of `triptych doctor`: about files, labels and pixels."""
