"""The routes of the service, their answers and errors, and their OpenAPI document."""
