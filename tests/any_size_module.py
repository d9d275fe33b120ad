"""A SavedModel as of TF Hub that takes images of any size."""


def save_any_size_module(directory):
    """Writes it: four features, whatever the size of an image.

    They are the mean red of the left half, the mean green of the right half,
    the mean blue, and the number of rows over 100 times the mean red: images
    of another size have another last feature.
    """
    import tensorflow as tf

    class AnySizeModule(tf.__internal__.tracking.AutoTrackable):
        def __init__(self):  # tf.Module would not save the two lists.
            self.scale = tf.Variable(0.01)
            self.variables = [self.scale]
            self.trainable_variables = [self.scale]

        @tf.function
        def __call__(self, images, training=False):
            height, width = tf.unstack(tf.shape(images)[1:3])
            half = width // 2
            rows = self.scale * tf.cast(height, tf.float32)
            features = [
                tf.reduce_mean(images[:, :, :half, 0], (1, 2)),
                tf.reduce_mean(images[:, :, half:, 1], (1, 2)),
                tf.reduce_mean(images[..., 2], (1, 2)),
                rows * tf.reduce_mean(images[..., 0], (1, 2)),
            ]
            return tf.stack(features, axis=1)

    module = AnySizeModule()
    images = tf.TensorSpec((None, None, None, 3), tf.float32)
    for training in (False, True):
        module.__call__.get_concrete_function(images, training=training)
    tf.saved_model.save(module, str(directory))
