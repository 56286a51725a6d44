"""What is known of a project before any rule looks at it: files, facts, intermediate representation, links."""
