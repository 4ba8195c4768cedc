"""How near fake faces lie to the training faces and to each other, and training faces to each other."""

import pyarrow as pa

# Who is looked for among whom.
FAKE_TO_TRAINING, FAKE_TO_FAKE = "fake_to_training", "fake_to_fake"
TO_OTHER_PEOPLE, TO_OWN_PHOTOGRAPHS = "training_to_other_people", "training_to_own_photographs"
RELATIONS = (FAKE_TO_TRAINING, FAKE_TO_FAKE, TO_OTHER_PEOPLE, TO_OWN_PHOTOGRAPHS)
# By what: embeddings, or the faces' pixels.
EMBEDDINGS, PIXELS = "embeddings", "pixels"
MEASURES = (EMBEDDINGS, PIXELS)

# One row a face, measure and relation; a training face whose person has no other has no row of that relation.
NEAREST_FACES = pa.schema(
    [
        ("measure", pa.string()),
        ("relation", pa.string()),
        ("face", pa.string()),  # a training image's key; "fake 12": of the twelfth row of the latents
        ("nearest", pa.string()),
        ("cosine", pa.float32()),
    ]
)
