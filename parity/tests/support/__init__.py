"""What tests share: sample records, small cases, browsers, matrices."""
