"""Write the files anew."""

from spfmilter.language import available
from tests.reply.notices.rendering import FOLDER, rendered

for tag in available():
    (FOLDER / f"{tag}.txt").write_text(rendered(tag))
