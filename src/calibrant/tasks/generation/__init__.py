"""Text generation: documents, and how far a candidate's next tokens are from the float model's."""
