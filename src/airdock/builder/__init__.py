"""A Dockerfile to an image: parser, words, instructions, ignore rules, plan, cache, build."""
