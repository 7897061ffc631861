"""What figures are drawn with: type and colours, sheets, tiles of images, names of classes, and checks of input."""
