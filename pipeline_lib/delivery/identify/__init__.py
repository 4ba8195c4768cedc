"""Whose face a photograph shows, among the people of a folder of photographs."""
