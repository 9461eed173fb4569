"""Text generation: documents, and how far a candidate's next-token distributions are from the float model's."""
