"""What can be said of a model before it is run: the verdict, warnings, and the cost under each rule."""
