"""Where definitions come from: folders of the known families, and document stores."""
